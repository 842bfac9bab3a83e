import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { DownloadProgress, Server } from '../../index.ts';
import { formatProgress, percentOf } from '../parts/format.ts';
import { droppedFiles } from './dropped-files.ts';
import { describeSpace } from './model-words.ts';
import '../parts/fields.css';
import './progress.css';
import './add-model.css';

/** The result of the last attempt. */
type Outcome = { text: string; isBad: boolean };

/** Adds a model by its address, by its name on a hub, or from a file that is chosen or dropped anywhere on the page. */
export function AddModel({ server }: { server: Server }): JSX.Element {
  const [source, setSource] = useState('');
  const [token, setToken] = useState('');
  const [busy, setBusy] = useState<string | null>(null);
  const [copying, setCopying] = useState<DownloadProgress | null>(null);
  const [outcome, setOutcome] = useState<Outcome | null>(null);
  const [dragging, setDragging] = useState(false);
  const abort = useRef<AbortController | null>(null);
  const picker = useRef<HTMLInputElement>(null);

  const run = async (doing: string, work: (signal: AbortSignal) => Promise<Outcome>) => {
    abort.current?.abort();
    const own = new AbortController();
    abort.current = own;
    setBusy(doing);
    setOutcome(null);
    try {
      setOutcome(await work(own.signal));
    } catch (error) {
      if (own.signal.aborted) setOutcome({ text: 'Stopped.', isBad: false });
      else setOutcome({ text: error instanceof Error ? error.message : String(error), isBad: true });
    } finally {
      setBusy(null);
      setCopying(null);
    }
  };

  const addFiles = (files: readonly File[]) => {
    if (files.length === 0) return;
    run(`Copying ${files.map(({ name }) => name).join(', ')}`, async (signal) => {
      const id = await server.models.addFiles(files, { signal, onProgress: setCopying });
      return { text: `${id} was added.`, isBad: false };
    });
  };

  const addSource = (event: Event) => {
    event.preventDefault();
    const name = source.trim();
    if (name === '') return;
    run(`Reading ${name}`, async (signal) => {
      const id = await server.models.add(name, { signal, ...(token === '' ? {} : { token }) });
      setSource('');
      const { fits, text } = describeSpace(await server.models.space(id, { signal }));
      if (fits) server.models.download(id).catch(() => {});
      return fits
        ? { text: `${id} is being downloaded. ${text}`, isBad: false }
        : { text: `${id} was added. ${text}`, isBad: true };
    });
  };

  useEffect(() => {
    const holdsFiles = (event: DragEvent) => event.dataTransfer?.types.includes('Files') ?? false;
    const over = (event: DragEvent) => {
      if (!holdsFiles(event)) return;
      event.preventDefault();
      setDragging(true);
    };
    const leave = ({ relatedTarget }: DragEvent) => relatedTarget === null && setDragging(false);
    const drop = (event: DragEvent) => {
      if (!holdsFiles(event) || event.dataTransfer === null) return;
      event.preventDefault();
      setDragging(false);
      droppedFiles(event.dataTransfer).then(addFiles);
    };
    addEventListener('dragover', over);
    addEventListener('dragleave', leave);
    addEventListener('drop', drop);
    return () => {
      removeEventListener('dragover', over);
      removeEventListener('dragleave', leave);
      removeEventListener('drop', drop);
    };
  }, [server]);

  return (
    <form class="add-model fields" data-dragging={dragging} onSubmit={addSource}>
      <h3>Add a model</h3>
      <label>
        <span>Address of a GGUF, or a hub’s owner/repo</span>
        <input
          type="text"
          value={source}
          autocapitalize="off"
          autocomplete="off"
          spellcheck={false}
          placeholder="ggml-org/gemma-3-270m-it-GGUF:Q8_0"
          onInput={(event) => setSource(event.currentTarget.value)}
        />
      </label>
      <details>
        <summary>Private model</summary>
        <label>
          <span>Token</span>
          <input
            type="password"
            value={token}
            autocomplete="off"
            onInput={(event) => setToken(event.currentTarget.value)}
          />
          <small>Sent to that server only, and not stored: enter it again after closing the browser.</small>
        </label>
      </details>
      <p class="actions">
        <button type="submit" class="button" disabled={source.trim() === '' || busy !== null}>
          Add
        </button>
        <button type="button" class="button" disabled={busy !== null} onClick={() => picker.current?.click()}>
          Choose a file
        </button>
        <span class="hint">or drop one here, with all of its shards.</span>
      </p>
      <input
        ref={picker}
        type="file"
        accept=".gguf,.tar"
        multiple
        hidden
        data-testid="add-files"
        onChange={(event) => {
          addFiles([...(event.currentTarget.files ?? [])]);
          event.currentTarget.value = '';
        }}
      />
      {busy !== null && (
        <div class="progress">
          <p>
            <strong>{busy}</strong>
            {copying && <span class="numbers">{formatProgress(copying)}</span>}
          </p>
          <progress
            aria-label={busy}
            max={100}
            {...(copying ? { value: percentOf(copying.loaded, copying.total) } : {})}
          />
          <button type="button" class="button" onClick={() => abort.current?.abort()}>
            Stop
          </button>
        </div>
      )}
      <p class="outcome" role="status" data-testid="add-outcome" data-bad={outcome?.isBad ?? false}>
        {outcome?.text}
      </p>
    </form>
  );
}
