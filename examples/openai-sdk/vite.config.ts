import { llamatab } from 'llamatab/vite';
import { defineConfig } from 'vite';

export default defineConfig({
  plugins: [llamatab()],
  // The models of the repository; a site of your own has a `public` folder of its own.
  publicDir: '../../public',
});
