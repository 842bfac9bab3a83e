/**
 * The AI SDK's `useChat` without a server: its agent runs in the page, and asks the model on the device.
 * @jsxImportSource react
 */

import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { useChat } from '@ai-sdk/react';
import { DirectChatTransport, ToolLoopAgent } from 'ai';
import { serve } from 'llamatab';
import { type JSX, useState } from 'react';
import { createRoot } from 'react-dom/client';

const { baseURL } = await serve();
const llamatab = createOpenAICompatible({ name: 'llamatab', baseURL });
const agent = new ToolLoopAgent({ model: llamatab('local'), maxOutputTokens: 100 });
const transport = new DirectChatTransport({ agent });

function Chat(): JSX.Element {
  const { messages, sendMessage, status, error } = useChat({ transport });
  const [question, setQuestion] = useState('What is the capital of France?');
  return (
    <>
      {messages.map(({ id, role, parts }) => (
        <p key={id} data-role={role}>
          {parts.map((part) => (part.type === 'text' ? part.text : ''))}
        </p>
      ))}
      {error && <p role="alert">{error.message}</p>}
      <form
        onSubmit={(event) => {
          event.preventDefault();
          sendMessage({ text: question });
        }}
      >
        <input aria-label="Question" value={question} onChange={({ target }) => setQuestion(target.value)} />
        <button type="submit" disabled={status === 'submitted' || status === 'streaming'}>
          Ask
        </button>
      </form>
    </>
  );
}

createRoot(document.querySelector('#root') as HTMLElement).render(<Chat />);
