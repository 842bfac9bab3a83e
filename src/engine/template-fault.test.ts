import { expect, test } from 'vitest';
import { findTemplateFault } from './template-fault.ts';

const ERROR = 'srv          init: init: chat template parsing error: lexer: unexpected character: .';
const PLACE = ['{{ .System }}', '   ^'];
const ADVICE = 'srv          init: init: please consider disabling jinja via --no-jinja';

test.each<[what: string, log: string[], fault: string | null]>([
  ['its reason', ['load_tensors: CPU', ERROR, ADVICE], 'lexer: unexpected character: .'],
  ['of several lines', [ERROR, ...PLACE, ADVICE], 'lexer: unexpected character: .\n{{ .System }}\n   ^'],
  ['without its advice', [ERROR, 'something else'], 'lexer: unexpected character: .'],
  ['another failure', ['llama_model_load: error loading model'], null],
  ['none', [], null],
])('%s', (_, log, fault) => {
  expect(findTemplateFault(log)).toBe(fault);
});
