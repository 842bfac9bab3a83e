import { llamatab } from 'llamatab/vite';
import { defineConfig } from 'vite';

// A model that hears is added by `npx llamatab add`: see the README beside this folder.
export default defineConfig({ plugins: [llamatab()] });
