import type { JSX } from 'preact';
import { useEffect, useId, useMemo, useRef, useState } from 'preact/hooks';
import type { Server, ServerStatus } from '../../index.ts';
import { CodeBlock } from '../parts/code-block.tsx';
import { Failure } from '../parts/failure.tsx';
import { formatLatency } from '../parts/format.ts';
import { Words } from '../parts/words.tsx';
import {
  ALL_ROUTES,
  type ApiRequest,
  modelFor,
  ROUTES,
  type Route,
  requestOf,
  toCurl,
  toFetch,
  toSdk,
} from './routes.ts';
import { type Outcome, tryIt } from './try-it.ts';
import './api-view.css';
import '../view.css';

interface Props {
  server: Server | undefined;
  status: ServerStatus | undefined;
  /** Id of the route in the address. */
  asked: string | null;
}

/** Each route of the server, to be tried, and the request as code. */
export function ApiView({ server, status, asked }: Props): JSX.Element {
  const route = ALL_ROUTES.find(({ id }) => id === asked) ?? (ALL_ROUTES[0] as Route);
  const scroller = useRef<HTMLElement>(null);
  useEffect(() => scroller.current?.scrollTo(0, 0), [route.id]);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
    <section class="view-scroller" ref={scroller} aria-labelledby="api-title" tabIndex={0}>
      <div class="view-page">
        <header class="view-head">
          <h2 id="api-title">API</h2>
          <p>
            llama-server’s API, answered inside this browser: this page is a client of it, as any page, iframe or worker
            of this site can be. <a href="docs/#api">What each parameter means</a>
          </p>
          {status?.intercepts === false && (
            <p class="note">
              Plain fetch is not answered on this page. <Words text={status.interceptsNot ?? ''} />
            </p>
          )}
        </header>
        <div class="api">
          <RouteList route={route} />
          <TryIt key={route.id} route={route} server={server} status={status} />
        </div>
      </div>
    </section>
  );
}

function RouteList({ route }: { route: Route }): JSX.Element {
  return (
    <>
      <div class="route-select">
        <label for="route">Route</label>
        <select
          id="route"
          value={route.id}
          onChange={(event) => {
            location.hash = `#api/${event.currentTarget.value}`;
          }}
        >
          {Object.entries(ROUTES).map(([group, routes]) => (
            <optgroup key={group} label={group}>
              {routes.map(({ id, method, path }) => (
                <option key={id} value={id}>
                  {method} {shown(path)}
                </option>
              ))}
            </optgroup>
          ))}
        </select>
      </div>
      <nav class="route-list" aria-label="Routes">
        {Object.entries(ROUTES).map(([group, routes]) => (
          <section key={group} aria-label={group}>
            <h3>{group}</h3>
            <ul>
              {routes.map(({ id, method, path }) => (
                <li key={id}>
                  <a href={`#api/${id}`} aria-current={id === route.id ? 'page' : undefined}>
                    <Method method={method} />
                    <span>{shown(path)}</span>
                  </a>
                </li>
              ))}
            </ul>
          </section>
        ))}
      </nav>
    </>
  );
}

/** A path without its query. */
const shown = (path: string) => path.replace(/\?.*/, '').replace('{model}', '{id}');

function Method({ method }: { method: string }): JSX.Element {
  return (
    <span class="method" data-method={method}>
      {method === 'DELETE' ? 'DEL' : method}
    </span>
  );
}

function TryIt({ route, server, status }: Omit<Props, 'asked'> & { route: Route }): JSX.Element {
  const model = modelFor(route, status?.models ?? []);
  const start = useMemo(() => requestOf(route, model), [route, model]);
  const [edited, setEdited] = useState<Partial<ApiRequest>>({});
  const [file, setFile] = useState<File>();
  const [outcome, setOutcome] = useState<Outcome>();
  const running = useRef<AbortController>(undefined);
  useEffect(() => () => running.current?.abort(), []);

  const request = { ...start, ...edited };
  const problem = request.body === null ? undefined : problemOf(request.body);
  const going = outcome?.state === 'sending' || outcome?.state === 'receiving';
  const form =
    route.form &&
    Object.fromEntries(Object.entries(route.form).map(([name, value]) => [name, value.replace('{model}', model)]));

  const send = () => {
    if (server === undefined) return;
    const abort = new AbortController();
    running.current = abort;
    const fetch = status?.intercepts ? globalThis.fetch : server.fetch;
    const init: RequestInit = { method: request.method, signal: abort.signal };
    if (form) init.body = formOf(form, file);
    else if (request.body !== null) {
      init.body = request.body;
      init.headers = { 'Content-Type': 'application/json' };
    }
    void tryIt(() => fetch(`${server.baseURL}${request.path}`, init), setOutcome, abort.signal);
  };

  return (
    <div class="try-it">
      <p class="route-about">
        <Words text={route.about} />
      </p>
      <form
        class="request"
        aria-label="Request"
        onSubmit={(event) => {
          event.preventDefault();
          send();
        }}
      >
        <div class="request-line">
          <Method method={route.method} />
          <span class="base">{server ? new URL(server.baseURL).pathname : '/v1'}</span>
          <input
            aria-label="Path"
            spellcheck={false}
            value={request.path}
            onInput={(event) => setEdited({ ...edited, path: event.currentTarget.value })}
          />
          {going ? (
            <button type="button" class="button" onClick={() => running.current?.abort()}>
              Stop
            </button>
          ) : (
            <button type="submit" class="button primary" disabled={server === undefined || problem !== undefined}>
              Send
            </button>
          )}
        </div>
        {form && (
          <label class="request-file">
            <span>File</span>
            <input type="file" onChange={(event) => setFile(event.currentTarget.files?.[0])} />
          </label>
        )}
        {request.body !== null && (
          <textarea
            class="json"
            aria-label="Body"
            spellcheck={false}
            rows={Math.min(18, request.body.split('\n').length + 1)}
            value={request.body}
            aria-invalid={problem !== undefined}
            onInput={(event) => setEdited({ ...edited, body: event.currentTarget.value })}
          />
        )}
        {problem && (
          <p class="outcome" data-bad="true" role="alert">
            {problem}
          </p>
        )}
        {route.warning && <p class="outcome">{route.warning}</p>}
      </form>
      {outcome && <OutcomeView outcome={outcome} />}
      <AsCode request={request} route={route} form={form} server={server} />
    </div>
  );
}

function problemOf(body: string): string | undefined {
  try {
    JSON.parse(body);
    return undefined;
  } catch (error) {
    return `This is no JSON: ${error instanceof Error ? error.message : error}.`;
  }
}

/** A form with nothing but a file is that file. */
function formOf(fields: Record<string, string>, file: File | undefined): BodyInit {
  if (Object.keys(fields).length === 0) return file ?? '';
  const form = new FormData();
  if (file) form.set('file', file);
  for (const [name, value] of Object.entries(fields)) form.set(name, value);
  return form;
}

function OutcomeView({ outcome }: { outcome: Outcome }): JSX.Element {
  const { state, status, headers, answeredAfter, took = 0, bytes, text, cut, sound, problem } = outcome;
  const [url, setUrl] = useState<string>();
  useEffect(() => {
    if (!sound) return;
    const made = URL.createObjectURL(sound);
    setUrl(made);
    return () => URL.revokeObjectURL(made);
  }, [sound]);
  const type = headers.find(([name]) => name === 'content-type')?.[1] ?? '';
  const parts = [
    answeredAfter === undefined ? [] : `answered after ${formatLatency(answeredAfter)}`,
    `${state === 'done' ? 'whole' : 'so far'} after ${formatLatency(took)}`,
    `${bytes.toLocaleString('en')} bytes`,
    type,
  ].flat();
  return (
    <section class="response" aria-label="Response" data-testid="response" data-state={state}>
      <header>
        <span class="status" data-ok={status === undefined ? undefined : status < 400}>
          {status ?? '…'}
        </span>
        <span class="numbers">{parts.filter(Boolean).join(' · ')}</span>
      </header>
      {problem && <Failure title="The request failed." detail={problem} />}
      {url && (
        // biome-ignore lint/a11y/useMediaCaption: what it says is in the request
        <audio controls src={url} />
      )}
      {text !== '' && <ResponseText text={text} json={state === 'done' && type.startsWith('application/json')} />}
      {cut && <p class="note">The rest is not shown.</p>}
      {state === 'stopped' && <p class="note">Stopped: the server has let go of it, too.</p>}
      {headers.length > 0 && (
        <details>
          <summary>{headers.length} headers</summary>
          <dl class="headers">
            {headers.map(([name, value]) => (
              <div key={name}>
                <dt>{name}</dt>
                <dd>{value}</dd>
              </div>
            ))}
          </dl>
        </details>
      )}
    </section>
  );
}

/** As it came; JSON that is whole is set out in lines. */
function ResponseText({ text, json }: { text: string; json: boolean }): JSX.Element {
  const end = useRef<HTMLPreElement>(null);
  useEffect(() => {
    if (end.current) end.current.scrollTop = end.current.scrollHeight;
  }, [text]);
  if (json && problemOf(text) === undefined) {
    return <CodeBlock language="json" code={JSON.stringify(JSON.parse(text), null, 2)} />;
  }
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
    <pre class="raw" ref={end} tabIndex={0} data-testid="raw">
      {text}
    </pre>
  );
}

interface AsCodeProps {
  request: ApiRequest;
  route: Route;
  form: Record<string, string> | undefined;
  server: Server | undefined;
}

const TABS = { fetch: 'fetch', sdk: 'OpenAI SDK', curl: 'curl' } as const;
type Tab = keyof typeof TABS;

function AsCode({ request, route, form, server }: AsCodeProps): JSX.Element {
  const [tab, setTab] = useState<Tab>('fetch');
  const id = useId();
  const base = server ? new URL(server.baseURL).pathname : '/v1';
  const code = {
    fetch: () => toFetch(request, base, form),
    sdk: () => toSdk(request, { ...route, ...(form ? { form } : {}) }),
    curl: () => toCurl(request, 'http://localhost:8080/v1', form),
  }[tab]();
  const note = {
    fetch: 'In the developer tools of this page, or anywhere in this site.',
    sdk: 'In a site of your own.',
    curl: 'For a llama-server: the API is the same, but no shell reaches into a browser.',
  }[tab];
  const onKeyDown = (event: KeyboardEvent) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step === undefined) return;
    const names = Object.keys(TABS) as Tab[];
    const next = names[(names.indexOf(tab) + step + names.length) % names.length] as Tab;
    setTab(next);
    document.getElementById(`${id}-${next}`)?.focus();
  };
  return (
    <section class="as-code" aria-label="The request as code">
      <div role="tablist" aria-label="The request as code" class="tabs" onKeyDown={onKeyDown}>
        {(Object.keys(TABS) as Tab[]).map((name) => (
          <button
            key={name}
            type="button"
            role="tab"
            id={`${id}-${name}`}
            aria-selected={tab === name}
            aria-controls={`${id}-panel`}
            tabIndex={tab === name ? 0 : -1}
            onClick={() => setTab(name)}
          >
            {TABS[name]}
          </button>
        ))}
      </div>
      <div role="tabpanel" id={`${id}-panel`} aria-labelledby={`${id}-${tab}`}>
        <p class="note">{note}</p>
        <CodeBlock language={tab === 'curl' ? 'bash' : tab === 'sdk' ? 'ts' : 'js'} code={code} />
      </div>
    </section>
  );
}
