/** Why llama.cpp can't parse a model's chat template, out of its log: it is nowhere else. */

/** What llama.cpp says before it refuses the model. On the lines that follow is the place, then its advice. */
const TEMPLATE_ERROR = /chat template parsing error: (.*)/;
const ADVICE = /please consider disabling jinja/;

/** @returns llama.cpp's reason, of one line or several; null if the template is not what it stumbled over. */
export function findTemplateFault(log: readonly string[]): string | null {
  const first = log.findIndex((line) => TEMPLATE_ERROR.test(line));
  if (first === -1) return null;
  const advice = log.findIndex((line, index) => index > first && ADVICE.test(line));
  const [head = '', ...rest] = log.slice(first, advice === -1 ? first + 1 : advice);
  return [TEMPLATE_ERROR.exec(head)?.[1] ?? '', ...rest].join('\n').trim();
}
