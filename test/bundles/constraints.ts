/** In the page: schemas and grammars to the engine, beside a stream whose steps are counted. */
export interface Asked {
  path: string;
  body: object;
}

export interface Answered {
  status: number;
  text: string;
  /** Steps of the stream beside until the answer was there. */
  steps: number;
}

let steps = 0;

/** Begins again when it has ended, until it is told to stop; returns what it said each time. */
export function countSteps(question: object): { stop(): Promise<string[]> } {
  let stopped = false;
  const texts: string[] = [];
  const running = (async () => {
    while (!stopped) {
      const body = JSON.stringify({ ...question, stream: true });
      const response = await fetch('/v1/completions', { method: 'POST', body });
      let events = '';
      for await (const piece of chunksOf(response)) {
        events += piece;
        steps++;
      }
      const chunks = events.split('\n\n').filter((event) => event.startsWith('data: {'));
      texts.push(chunks.map((event) => JSON.parse(event.slice('data: '.length)).choices[0]?.text ?? '').join(''));
    }
    return texts;
  })();
  return {
    stop: () => {
      stopped = true;
      return running;
    },
  };
}

async function* chunksOf(response: Response): AsyncGenerator<string> {
  const reader = (response.body as ReadableStream<Uint8Array>)
    .pipeThrough<string>(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>)
    .getReader();
  for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value;
}

/** All slots but that of the stream beside. */
const AT_ONCE = 3;

export async function ask(requests: Asked[]): Promise<Answered[]> {
  const answers: Answered[] = [];
  const todo = [...requests.entries()];
  const askSome = async () => {
    for (let next = todo.shift(); next !== undefined; next = todo.shift()) {
      const [index, { path, body }] = next;
      const before = steps;
      const response = await fetch(path, { method: 'POST', body: JSON.stringify(body) });
      answers[index] = { status: response.status, text: await response.text(), steps: steps - before };
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, askSome));
  return answers;
}
