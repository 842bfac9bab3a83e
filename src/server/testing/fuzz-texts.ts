/** Requests whose text is not English, cut anywhere: in tokens, in stops, in the middle of a character. */
import type { Json } from '../../engine/engine.ts';
import { type Draws, draws, type Random } from './seeded-random.ts';

const SCRIPTS = ['Καλημέρα', 'Привет', 'नमस्ते', 'مرحبا', 'שלום', '日本語', '안녕하세요', 'สวัสดี'];
/** Joiners, skin tones, flags, key caps, combining marks, and one character of each length in UTF-8. */
const JOINED = ['👩🏽‍🦰', '👩‍👩‍👧‍👦', '🏳️‍🌈', '🇬🇷', '1️⃣', 'e\u0301', 'ا̂', '🦙🦙', 'é日🦙', '\u{10ffff}'];
/** Halves of a pair, marks of byte order and direction, what stands for no character, what other formats escape. */
const ODD = ['\ud83e', '\udd99', 'a\ud800b', '\udfff\ud800', '\ufeff', '\ufffd', '\u202e', '\0', '"\\\n', '\u2028'];

const MOST_TOKENS = 16;

/** The shapes in which a text is asked for. */
export type TextApi =
  | 'chat'
  | 'completion'
  | 'infill'
  | 'responses'
  | 'messages'
  | 'embedding'
  | 'rerank'
  | 'tokenize'
  | 'detokenize';

export interface TextRequest {
  body: Json;
  /** What a grammar makes the model say: whole characters only, so no replacement character may come of it. */
  said?: string | undefined;
}

export function createTextFuzzer(random: Random): (api: TextApi) => TextRequest {
  const draw = draws(random);
  const { pick, chance, below, maybe, several } = draw;
  const sound = () => several(1, 3, () => pick(chance(0.5) ? SCRIPTS : JOINED)).join(pick(['', ' ']));
  const text = () => (chance(0.7) ? sound() : sound() + pick(ODD) + sound());
  /** Cut between any two units of UTF-16, so that half a character can be left. */
  const piece = (whole: string) => {
    const from = below(whole.length);
    return whole.slice(from, from + 1 + below(4));
  };
  const bytes = (whole: string) => {
    const all = [...new TextEncoder().encode(whole)];
    const from = below(all.length);
    return all.slice(from, from + 1 + below(all.length - from));
  };

  /** What every generated answer has: an end, and perhaps a grammar that makes it say something. */
  const answered = (limit: string, stop: string, hasGrammar: boolean): { fields: Json; said?: string } => {
    const said = sound();
    const isHeld = hasGrammar && chance(0.8);
    return {
      fields: {
        [limit]: 1 + below(MOST_TOKENS),
        ...(isHeld ? { grammar: `root ::= ${JSON.stringify(said)}`, temperature: 0 } : { seed: below(100) }),
        ...maybe(0.4, stop, () => several(1, 3, () => piece(chance(0.8) ? said : text()))),
        ...maybe(0.5, 'stream', () => chance(0.8)),
      },
      ...(isHeld ? { said } : {}),
    };
  };
  const parts = (type: string) => (chance(0.5) ? text() : several(1, 2, () => ({ type, text: text() })));

  const requests: Record<TextApi, () => TextRequest> = {
    chat: () => {
      const { fields, said } = answered('max_tokens', 'stop', true);
      const logprobs = chance(0.3);
      const body = {
        messages: [...maybeSystem(draw, text), { role: 'user', content: parts('text') }],
        ...fields,
        ...(logprobs ? { logprobs, ...maybe(0.6, 'top_logprobs', () => pick([0, 1, 5, 20])) } : {}),
        ...maybe(0.1, 'n', () => 2),
        ...maybe(0.1, 'logit_bias', () => [[text(), 1]]),
      };
      return { body, said: logprobs ? undefined : said };
    },
    completion: () => {
      const { fields, said } = answered('max_tokens', 'stop', true);
      const prompt = pick<() => unknown>([text, text, () => bytes(text()), () => [text(), ...bytes(sound())]])();
      const asked = chance(0.3);
      const body = {
        prompt,
        ...fields,
        ...(asked ? { [pick(['n_probs', 'logprobs'])]: pick([1, 5, 259]) } : {}),
        ...maybe(0.1, 'post_sampling_probs', () => true),
        ...maybe(0.1, 'return_tokens', () => true),
        ...maybe(0.1, 'dry_sequence_breakers', () => [piece(text())]),
      };
      return { body, said: asked ? undefined : said };
    },
    infill: () => {
      const { fields, said } = answered('max_tokens', 'stop', true);
      const files = () => [{ filename: piece(text()), text: text() }];
      const body = { input_prefix: text(), input_suffix: text(), ...fields, ...maybe(0.3, 'input_extra', files) };
      return { body, said };
    },
    responses: () => {
      const { fields, said } = answered('max_output_tokens', 'stop', true);
      const input = chance(0.5) ? text() : [{ role: 'user', content: parts('input_text') }];
      return { body: { input, ...fields, ...maybe(0.3, 'instructions', text) }, said };
    },
    messages: () => {
      const { fields } = answered('max_tokens', 'stop_sequences', false);
      const body = { messages: [{ role: 'user', content: parts('text') }], ...fields, ...maybe(0.3, 'system', text) };
      return { body };
    },
    embedding: () => {
      const input = pick<() => unknown>([text, () => [text(), text()], () => [bytes(sound()), piece(text())]])();
      return { body: { model: 'embedder', [pick(['input', 'content'])]: input } };
    },
    rerank: () => ({ body: { model: 'ranker', query: text(), documents: several(1, 3, () => piece(text())) } }),
    tokenize: () => ({ body: { content: piece(text()) + text(), ...maybe(0.7, 'with_pieces', () => true) } }),
    detokenize: () => ({ body: { tokens: bytes(sound()) } }),
  };
  return (api) => requests[api]();
}

function maybeSystem({ chance }: Draws, text: () => string): Json[] {
  return chance(0.3) ? [{ role: 'system', content: text() }] : [];
}
