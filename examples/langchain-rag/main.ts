/** LangChain.js: the document that is nearest to the question, by embeddings on the device, goes into the prompt for the answer. */
import { StringOutputParser } from '@langchain/core/output_parsers';
import { ChatPromptTemplate } from '@langchain/core/prompts';
import { ChatOpenAI, OpenAIEmbeddings } from '@langchain/openai';
import { serve } from 'llamatab';

const DOCUMENTS = [
  'The lighthouse of Port Merle was built in 1871, and is painted in red and white.',
  'The bakery in Mill Street opens at six, and is closed on Mondays.',
  'The ferry to the island leaves every two hours from the old harbour.',
];

const { baseURL } = await serve();
const connection = { apiKey: 'local', configuration: { baseURL, dangerouslyAllowBrowser: true } };
const embeddings = new OpenAIEmbeddings({ ...connection, model: 'all-minilm-l6-v2', encodingFormat: 'float' });
const chat = new ChatOpenAI({ ...connection, model: 'smollm2-135m-instruct', temperature: 0, maxTokens: 60 });
const prompt = ChatPromptTemplate.fromMessages([
  ['system', 'Answer from this text: {text}'],
  ['user', '{question}'],
]);
const chain = prompt.pipe(chat).pipe(new StringOutputParser());

/** They have the length 1. */
const similarity = (a: number[], b: number[]) => a.reduce((sum, x, i) => sum + x * (b[i] ?? 0), 0);

async function nearest(question: string): Promise<string> {
  const [asked, vectors] = await Promise.all([embeddings.embedQuery(question), embeddings.embedDocuments(DOCUMENTS)]);
  const scores = vectors.map((vector) => similarity(asked, vector));
  return DOCUMENTS[scores.indexOf(Math.max(...scores))] ?? '';
}

const button = document.querySelector('button') as HTMLButtonElement;
button.addEventListener('click', async () => {
  const question = 'When can I buy bread?';
  const text = await nearest(question);
  const found = document.querySelector('#found') as HTMLElement;
  found.textContent = text;
  const answer = document.querySelector('#answer') as HTMLElement;
  answer.textContent = await chain.invoke({ text, question });
});
button.disabled = false;
