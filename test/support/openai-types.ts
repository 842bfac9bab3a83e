/** Answers held against the types that OpenAI's client declares: no package publishes a schema of its document. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Any, parseStream, type Recorded } from './golden.ts';
import { path } from './paths.ts';

/** By path: the type of a whole answer and of a stream's events. */
const TYPES: Record<string, { whole: string; event?: string }> = {
  '/v1/chat/completions': { whole: 'OpenAI.ChatCompletion', event: 'OpenAI.ChatCompletionChunk' },
  '/v1/completions': { whole: 'OpenAI.Completion', event: 'CompletionChunk' },
  '/v1/embeddings': { whole: 'OpenAI.CreateEmbeddingResponse' },
  '/v1/models': { whole: "{ object: 'list'; data: OpenAI.Model[] }" },
  '/v1/models/local': { whole: 'OpenAI.Model' },
  '/v1/responses': {
    // `output_text` is the client's own.
    whole: "Omit<OpenAI.Responses.Response, 'output_text'>",
    event: 'Event',
  },
};

const HEAD = `
import type OpenAI from 'openai';

/** What is declared \`as const\` is read-only throughout. */
type ReadOnly<T> = T extends object ? { readonly [Key in keyof T]: ReadOnly<T[Key]> } : T;
type WithoutText<T> = T extends { response: OpenAI.Responses.Response }
  ? Omit<T, 'response'> & { response: Omit<OpenAI.Responses.Response, 'output_text'> }
  : T;
/** OpenAI too sends null until the end; the client's type does not say so. */
type CompletionChunk = Omit<OpenAI.Completion, 'choices'> & {
  choices: (Omit<OpenAI.CompletionChoice, 'finish_reason'> & { finish_reason: OpenAI.CompletionChoice['finish_reason'] | null })[];
};
type Event = WithoutText<OpenAI.Responses.ResponseStreamEvent>;
`;

export interface Answered {
  request: Recorded['request'];
  status: number;
  text: string;
}

/** @param name Of a folder under `dist/test`. @returns how many values were checked, and what TypeScript has against them */
export function checkOpenAiTypes(name: string, answers: readonly Answered[]): { checked: number; errors: string } {
  const lines = [HEAD];
  for (const { request, status, text } of answers) {
    const types = TYPES[request.path];
    if (types === undefined || status !== 200 || text === '') continue;
    const isStream = text.startsWith('data: ') || text.startsWith('event: ');
    const type = isStream ? types.event : types.whole;
    const values = isStream ? parseStream(text).map(({ data }) => data) : [JSON.parse(text)];
    for (const value of values) {
      if (value === '[DONE]' || isElsewise(request, value)) continue;
      const variable = `v${lines.length}`;
      lines.push(
        `const ${variable} = ${JSON.stringify(value, shortened)} as const;\nexport const ${variable}Typed: ReadOnly<${type}> = ${variable};`,
      );
    }
  }
  const folder = path(`dist/test/openai-types-${name}`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'answers.ts'), lines.join('\n'));
  const compilerOptions = {
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    target: 'es2023',
    module: 'esnext',
    moduleResolution: 'bundler',
    lib: ['es2023', 'dom', 'dom.iterable'],
    types: [],
  };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['answers.ts'] }));
  const { stdout, stderr } = spawnSync(process.execPath, [path('node_modules/typescript/bin/tsc'), '-p', folder], {
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  });
  return { checked: lines.length - 1, errors: `${stdout}${stderr}`.trim() };
}

/** What llama-server gives in a shape of its own: docs/compatibility.md. */
function isElsewise({ path, body }: Recorded['request'], value: Any): boolean {
  if (body?.post_sampling_probs) return true;
  if (path === '/v1/completions') return value.choices.some((choice: Any) => choice.logprobs != null);
  if (path === '/v1/embeddings') return body.encoding_format === 'base64' || body.input === undefined;
  return false;
}

/** Hundreds of numbers are as well typed as three. */
function shortened(_: string, value: unknown): unknown {
  return Array.isArray(value) && value.length > 3 && typeof value[0] === 'number' ? value.slice(0, 3) : value;
}
