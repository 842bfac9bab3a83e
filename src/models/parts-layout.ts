/** Cuts a model into parts. A part is requested, verified and stored as a unit. Pure: no network, no storage. */
import type { CatalogFile, CatalogModel, CatalogPiece } from './models.ts';

/**
 * Bytes of a part; the last one of a piece may be shorter. Large enough that the round trip and the IndexedDB transaction of each
 * part cost little; small enough that a phone can allocate it, and that little is lost when the browser is killed.
 */
export const PART_SIZE = 64 * 1024 * 1024;

export interface Part {
  /** The same for the same bytes, as far as that can be known before they are here. Acknowledgements are stored under it. */
  key: string;
  /** Published SHA-256, if there is one for just this part. */
  sha256: string | undefined;
  piece: PieceLayout;
  /** First byte, in the piece. */
  start: number;
  /** Bytes. */
  size: number;
  /** For messages: which part of which file of which model. */
  label: string;
}

export interface PieceLayout {
  key: string;
  /** Absolute. */
  url: string;
  /** Bytes. */
  size: number;
  parts: Part[];
}

export interface FileLayout {
  name: string;
  size: number;
  pieces: PieceLayout[];
  parts: Part[];
}

/** A published SHA-256 of several parts together, which have none of their own. */
export interface WholeHash {
  key: string;
  sha256: string;
  parts: Part[];
  /** For messages. */
  label: string;
}

export interface PartsLayout {
  files: FileLayout[];
  /** Each part once, even if the model contains the same stretch twice (of zeros, for example). */
  parts: Part[];
  hashes: WholeHash[];
  /** Bytes to store. */
  total: number;
  /** Differs when the catalog names other bytes. */
  fingerprint: string;
}

/**
 * @param baseUrl Absolute; what pieces' URLs are relative to.
 * @param partSize Bytes. Other than `PART_SIZE` only in tests.
 */
export function layOutParts(model: CatalogModel, baseUrl: string, partSize = PART_SIZE): PartsLayout {
  const hashes: WholeHash[] = [];
  const files = model.files.map((file) => layOutFile(file, model, baseUrl, partSize, hashes));
  const parts = [...new Map(files.flatMap((file) => file.parts).map((part) => [part.key, part])).values()];
  return {
    files,
    parts,
    hashes,
    total: parts.reduce((sum, part) => sum + part.size, 0),
    fingerprint: files.map((file) => file.parts.map((part) => part.key).join(' ')).join(' | '),
  };
}

function layOutFile(
  file: CatalogFile,
  model: CatalogModel,
  baseUrl: string,
  partSize: number,
  hashes: WholeHash[],
): FileLayout {
  const laidOut: FileLayout = { name: file.name, size: file.size, pieces: [], parts: [] };
  const count = file.pieces.reduce((sum, piece) => sum + partCount(piece, partSize), 0);
  for (const piece of file.pieces) {
    const url = URL.canParse(piece.url, baseUrl) ? new URL(piece.url, baseUrl).href : piece.url;
    const key = piece.sha256 ?? `${piece.size} ${url}`;
    const at: PieceLayout = { key, url, size: piece.size, parts: [] };
    const inPiece = partCount(piece, partSize);
    for (let i = 0; i < inPiece; i++) {
      const number = laidOut.parts.length + 1;
      const sha256 = inPiece === 1 ? piece.sha256 : piece.parts?.length === inPiece ? piece.parts[i] : undefined;
      const start = i * partSize;
      const part: Part = {
        key: sha256 ?? `${key} ${start}`,
        sha256,
        piece: at,
        start,
        size: Math.min(partSize, piece.size - start),
        label: `${model.id}: ${file.name}${count === 1 ? '' : `, part ${number} of ${count}`}`,
      };
      at.parts.push(part);
      laidOut.parts.push(part);
    }
    if (piece.sha256 !== undefined && at.parts.some((part) => part.sha256 === undefined)) {
      hashes.push({ key: piece.sha256, sha256: piece.sha256, parts: at.parts, label: `${model.id}: ${file.name}` });
    }
    laidOut.pieces.push(at);
  }
  // The hash of a file is needed if its pieces have none of their own.
  if (file.sha256 && file.pieces.some((piece) => piece.sha256 === undefined)) {
    if (laidOut.parts.length === 1 && laidOut.parts[0]) {
      laidOut.parts[0].sha256 = file.sha256;
      laidOut.parts[0].key = file.sha256;
    } else {
      hashes.push({ key: file.sha256, sha256: file.sha256, parts: laidOut.parts, label: `${model.id}: ${file.name}` });
    }
  }
  return laidOut;
}

function partCount(piece: CatalogPiece, partSize: number): number {
  return Math.max(1, Math.ceil(piece.size / partSize));
}
