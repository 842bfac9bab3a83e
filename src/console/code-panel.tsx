import type { JSX } from 'preact';
import type { ServerStatus } from '../index.ts';
import { CodeBlock } from './code-block.tsx';
import { Panel } from './panel.tsx';
import { embeddingsSnippet, fetchSnippet, sdkSnippet } from './snippets.ts';
import { Words } from './words.tsx';

interface Props {
  status: ServerStatus | undefined;
  /** Undefined while the server starts. */
  baseURL: string | undefined;
  onClose: () => void;
}

export function CodePanel({ status, baseURL = new URL('v1', document.baseURI).href, onClose }: Props): JSX.Element {
  const path = new URL(baseURL).pathname;
  const embedder = status?.models.find(({ capabilities }) => capabilities.includes('embedding'));
  return (
    <Panel title="Use it from code" onClose={onClose}>
      <p>
        This page is a client of <code>{path}</code>, as any other page, iframe or worker of this site can be. It is
        llama-server's API, answered inside this browser, so <code>curl</code> can't reach it.
      </p>
      {status?.intercepts === false && (
        <p class="note">
          Plain fetch is not answered on this page. <Words text={status.interceptsNot ?? ''} />
        </p>
      )}
      <h3>In this page's developer tools</h3>
      <CodeBlock language="js" code={fetchSnippet(path)} />
      <h3>With the OpenAI SDK, in your own site</h3>
      <CodeBlock language="ts" code={sdkSnippet} />
      {embedder && (
        <>
          <h3>Embeddings</h3>
          <CodeBlock language="js" code={embeddingsSnippet(path, embedder.id)} />
        </>
      )}
    </Panel>
  );
}
