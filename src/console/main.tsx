import { render } from 'preact';
import { serve } from '../index.ts';
import { App } from './app.tsx';

const root = document.getElementById('app');
if (root) render(<App starting={serve()} />, root);
