import { llamatab } from 'llamatab/vite';
import { defineConfig } from 'vite';

export default defineConfig({
  plugins: [llamatab({ models: ['smollm2-135m-instruct'] })],
  build: {
    rolldownOptions: {
      input: ['index.html', 'service-worker.ts'],
      // A service worker is found by its address: it keeps its name, beside the page.
      output: { entryFileNames: ({ name }) => (name === 'service-worker' ? '[name].js' : 'assets/[name]-[hash].js') },
    },
  },
});
