import { llamatab } from 'llamatab/vite';
import { defineConfig } from 'vite';

export default defineConfig({
  plugins: [llamatab({ models: ['smollm2-135m-instruct'] })],
});
