/** `GET /props`: llama-server's properties of a loaded model. */
import type { DevicePlan, Drafting, Json, LoadedModel } from '../../engine/engine.ts';
import { LlamatabError } from '../../errors.ts';
import { fileTypeName } from '../../gguf/names.ts';
import type { CatalogModel } from '../../models/models.ts';
import { templateCapabilities } from '../chat/template-capabilities.ts';
import { defaultParameters } from '../generate/params.ts';
import type { Scope } from '../http/scope.ts';
import type { ServerContext } from '../state/context.ts';
import { describeAsked } from './asked-model.ts';

/** Loads the model first, unless the query has `autoload=false`. */
export function getProps(scope: Scope, context: ServerContext): Promise<Response> {
  return describeAsked(
    scope,
    context,
    (model, loaded) => describeProps(model, loaded, context),
    ({ props }) => ({ ...(props as Json), is_sleeping: true }),
  );
}

export async function describeProps(
  model: CatalogModel,
  loaded: LoadedModel,
  context: Pick<ServerContext, 'mediaMarker'>,
): Promise<Json> {
  const { plan, gpu, build, media, sound, metadata, bosToken, eosToken, templateFault } = loaded.info;
  const { processing, deferred } = loaded.workload;
  const own = templateFault === null ? metadata : {};
  const template = own['tokenizer.chat_template'] ?? CHATML;
  const toolTemplate = own['tokenizer.chat_template.tool_use'];
  return {
    default_generation_settings: {
      params: { ...defaultSettings(), ...draftingSetting(plan) },
      n_ctx: plan.contextSize,
    },
    total_slots: plan.slots,
    model_alias: model.id,
    model_ftype: fileTypeName(metadata['general.file_type']),
    model_path: `models/${model.files[0]?.name ?? model.id}`,
    modalities: { vision: media.image, video: false, audio: media.audio },
    audio: {
      input_rate: sound.inputRate,
      output_rate: sound.outputRate,
      voices: sound.voices,
      realtime: sound.realtime,
      live: sound.liveTranscription,
    },
    media_marker: context.mediaMarker,
    endpoint_slots: true,
    endpoint_props: false,
    endpoint_metrics: true,
    ui: true,
    ui_settings: {},
    chat_template: template,
    ...(toolTemplate === undefined ? {} : { chat_template_tool_use: toolTemplate }),
    chat_template_caps: templateCapabilities(template),
    // Ours: why that is not the model's own.
    ...(templateFault === null ? {} : { chat_template_error: templateFault }),
    bos_token: await tokenText(loaded, bosToken),
    eos_token: await tokenText(loaded, eosToken),
    build_info: build,
    is_sleeping: false,
    cors_proxy_enabled: false,
    engine: { ...plan, gpu, requests: { processing, deferred }, ...loaded.tuning },
  };
}

/** llama.cpp's template for a model without one, and ours for one whose own can't be parsed. */
const CHATML = `{%- for message in messages -%}
  {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
  {{- '<|im_start|>assistant\n' -}}
{%- endif -%}`;

/** The defaults of a request's parameters, as llama-server lists them. */
export function defaultSettings(): Json {
  return { ...defaultParameters(), ...FIXED_SETTINGS };
}

/** Defaults that are neither numbers nor booleans of the parameter table. */
const FIXED_SETTINGS: Json = {
  max_tokens: -1,
  chat_format: 'Content-only',
  reasoning_format: 'none',
  reasoning_in_content: false,
  generation_prompt: '',
  samplers: ['penalties', 'dry', 'top_n_sigma', 'top_k', 'typ_p', 'top_p', 'min_p', 'xtc', 'temperature'],
  'speculative.types': 'none',
  lora: [],
};

/** llama.cpp's names for where drafted tokens come from. */
const SPECULATIVE_TYPES: Record<Drafting, string> = { none: 'none', lookup: 'ngram-simple', model: 'draft-simple' };

const draftingSetting = ({ drafting }: DevicePlan) => ({ 'speculative.types': SPECULATIVE_TYPES[drafting] });

/** Empty if the model has no such token, or our tokenizer does not know its vocabulary. */
async function tokenText(loaded: LoadedModel, token: number): Promise<string> {
  if (token < 0) return '';
  try {
    return (await loaded.tokenizer()).decode([token]);
  } catch (error) {
    if (error instanceof LlamatabError && error.type === 'not_supported_error') return '';
    throw error;
  }
}

/** llama-server's answer, unless it was started with the option. */
export function setProps(): never {
  throw new LlamatabError(
    'not_supported_error',
    'This server does not support changing global properties. Start it with `--props`',
  );
}
