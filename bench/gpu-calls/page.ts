/** In the browser: the same model with wllama's glue as published, with ours without fusing, and with ours; all loaded, in turn. */
type Glue = 'published' | 'unfused' | 'ours';
const GLUES: Glue[] = ['published', 'unfused', 'ours'];

export interface Report {
  adapter: string;
  /** Milliseconds for a token, by glue, one for each run. */
  milliseconds: Record<Glue, number[]>;
}

interface Wllama {
  loadModel(files: Blob[], options: object): Promise<void>;
  createCompletion(options: object): Promise<{ timings: { predicted_per_token_ms: number } }>;
}

async function load(glue: Glue, model: Blob): Promise<Wllama> {
  const lines: string[] = [];
  const keep = (line: unknown) => lines.push(String(line));
  const logger = { debug: keep, log: keep, warn: keep, error: keep };
  const { Wllama } = await import(/* @vite-ignore */ `${location.origin}/${glue}.js`);
  const wllama: Wllama = new Wllama({ default: `${location.origin}/wllama.wasm` }, { logger });
  await wllama.loadModel([model], { n_ctx: 1024, n_parallel: 1, n_threads: 1, n_gpu_layers: 999, flash_attn: true });
  const offloaded = lines.find((line) => /offloaded (\d+)\/\1 layers to GPU/.test(line));
  if (!offloaded) throw new Error(`${glue}: not all layers are on the GPU: ${lines.slice(-20).join('\n')}`);
  return wllama;
}

async function decode(wllama: Wllama, tokens: number): Promise<number> {
  const { timings } = await wllama.createCompletion({
    prompt: 'Once upon a time there was',
    max_tokens: tokens,
    temperature: 0,
    ignore_eos: true,
    cache_prompt: false,
    stream: false,
  });
  return timings.predicted_per_token_ms;
}

async function measure(runs: number, tokens: number): Promise<Report> {
  const model = await (await fetch('/model.gguf')).blob();
  const loaded = {
    published: await load('published', model),
    unfused: await load('unfused', model),
    ours: await load('ours', model),
  };
  const adapter = await navigator.gpu.requestAdapter();
  const { vendor = '', architecture = '', description = '' } = adapter?.info ?? {};
  const report: Report = {
    adapter: `${vendor} ${architecture} ${description}`.trim(),
    milliseconds: { published: [], unfused: [], ours: [] },
  };
  for (const glue of GLUES) await decode(loaded[glue], 8);
  for (let run = 0; run < runs; run++) {
    for (const glue of GLUES) report.milliseconds[glue].push(await decode(loaded[glue], tokens));
  }
  return report;
}

const asked = new URLSearchParams(location.search);
const post = (body: object) => fetch('/report', { method: 'POST', body: JSON.stringify(body) });
measure(Number(asked.get('runs')), Number(asked.get('tokens'))).then(
  (report) => post({ report }),
  (error) => post({ error: String(error) }),
);
