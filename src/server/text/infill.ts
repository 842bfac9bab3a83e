/** `POST /infill`: fills the gap between two texts, with other files as context, in llama-server's own format. */
import type { DevicePlan, Json } from '../../engine/engine.ts';
import { invalid, type LlamatabError } from '../../errors.ts';
import type { Tokenizer } from '../../tokenizer/tokenizer.ts';
import { complete } from '../generate/completions.ts';
import { readParameters } from '../generate/params.ts';
import { type Prompt, readPrompts, requireTokens } from '../generate/prompts.ts';
import { isObject } from '../http/json.ts';
import type { Scope } from '../http/scope.ts';
import type { ServerContext } from '../state/context.ts';
import { findModel } from '../state/model-names.ts';
import { type Gap, type GapLimits, gapPrompt } from './gap-prompt.ts';
import { inNativeFormat } from './native-completion.ts';

/** Files of a request. Editors send a few dozen; what exceeds the context is cut off anyway. */
const MAX_FILES = 1024;

export async function infill(scope: Scope, context: ServerContext): Promise<Response> {
  const body = await scope.body();
  const model = findModel(await context.models.catalog(), body.model, context.naming);
  const parameters = readParameters(body, context.random);
  const plan = inNativeFormat({
    kind: 'text',
    model,
    parameters,
    perPrompt: parameters.choices,
    prepare: async (loaded) => {
      const tokenizer = await loaded.tokenizer();
      // As in llama-server, whether the model can do it comes first.
      gapPrompt(tokenizer, { prefix: '', suffix: '' }, refuse);
      const texts = readGap(body);
      const text = (field: 'input_prefix' | 'input_suffix') => {
        const prompts = readPrompts([texts[field]], field, 'invalid_request_error');
        requireTokens(prompts, loaded.info.nVocab, field);
        return prompts.map((prompt) => joinedText(prompt, tokenizer)).join('');
      };
      const { prompt, extra } = texts;
      const gap = { prefix: text('input_prefix'), suffix: text('input_suffix'), prompt, extra };
      const limits = limitsOf(gap, loaded.info.plan, parameters.body.n_predict);
      return [{ body: { ...parameters.body, prompt: gapPrompt(tokenizer, gap, refuse, limits) } }];
    },
  });
  return complete(scope, context, plan);
}

function refuse(missing: string): LlamatabError {
  return invalid('model', `Infill is not supported by this model: ${missing}`, 'not_supported_error');
}

function joinedText(prompt: Prompt, tokenizer: Tokenizer): string {
  if (typeof prompt === 'string') return prompt;
  return tokenizer.decode(prompt.flatMap((part) => (typeof part === 'string' ? tokenizer.encode(part) : [part])));
}

interface GapTexts {
  input_prefix: unknown;
  input_suffix: unknown;
  prompt: string;
  extra: NonNullable<Gap['extra']>;
}

function readGap({ input_prefix, input_suffix, input_extra, prompt }: Json): GapTexts {
  if (prompt !== undefined && typeof prompt !== 'string') throw invalid('prompt', '"prompt" must be a string');
  if (input_prefix === undefined) throw invalid('input_prefix', '"input_prefix" is required');
  if (input_suffix === undefined) throw invalid('input_suffix', '"input_suffix" is required');
  if (input_extra !== undefined && !Array.isArray(input_extra)) {
    throw invalid('input_extra', '"input_extra" must be an array of {"filename": string, "text": string}');
  }
  const files: unknown[] = input_extra ?? [];
  if (files.length > MAX_FILES) {
    throw invalid('input_extra', `'input_extra' holds ${files.length} files; the limit is ${MAX_FILES}. Send fewer.`);
  }
  const extra = files.map((file) => {
    const { text, filename = 'tmp' } = isObject(file) ? file : ({} as Json);
    if (typeof text !== 'string') {
      throw invalid('input_extra', 'extra_context chunk must contain a "text" field with a string value');
    }
    if (typeof filename !== 'string') {
      throw invalid('input_extra', 'extra_context chunk\'s "filename" field must be a string');
    }
    return { text, filename };
  });
  return { input_prefix, input_suffix, prompt: prompt ?? '', extra };
}

/** llama-server's default batch, into which it fits the texts around the gap. */
const WINDOW = 2048;

/**
 * As in llama-server, three quarters of a window before the gap and one after it; the files get the rest of the
 * context. The window is at most half the context, to leave room for the answer.
 */
function limitsOf({ prompt = '' }: Gap, { contextSize }: DevicePlan, limit: unknown): GapLimits {
  const window = Math.min(WINDOW, Math.floor(contextSize / 2));
  const quarter = Math.floor(window / 4);
  const written = typeof limit === 'number' && limit >= 0 ? 2 * limit : quarter;
  return {
    prefix: 3 * quarter,
    // Leaves room for the marks, and for the beginning of the answer.
    suffix: Math.max(0, quarter - 2 - prompt.length),
    extra: Math.max(0, contextSize - window - written),
  };
}
