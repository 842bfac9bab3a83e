/** Downloads a model with the store, and reports how long it took. */
import { createModelStore } from '../../src/models/model-store.ts';
import type { CatalogModel } from '../../src/models/models.ts';

const report = (body: object) => fetch('/report', { method: 'POST', body: JSON.stringify(body) });

try {
  const model: CatalogModel = await (await fetch('/model.json')).json();
  const store = createModelStore({ catalogUrl: new URL('/models/catalog.json', location.href).href });
  await report({ ready: true });
  const start = performance.now();
  await store.download(model);
  await report({ milliseconds: performance.now() - start, state: (await store.status(model)).state });
} catch (error) {
  await report({ error: String(error) });
}
