import { render } from 'preact';
import { DocsApp } from './docs-app.tsx';
import { readPages } from './pages.ts';

const texts = import.meta.glob<string>(['../../../README.md', '../../../docs/*.md'], {
  query: '?raw',
  import: 'default',
  eager: true,
});
const images = import.meta.glob<string>('../../../docs/*.{png,svg,webp}', {
  query: '?url',
  import: 'default',
  eager: true,
});
const named = Object.fromEntries(Object.entries(images).map(([path, url]) => [path.replace(/^.*\//, ''), url]));

const root = document.getElementById('app');
if (root) render(<DocsApp pages={readPages(texts)} images={named} />, root);
