export { type ErrorEnvelope, type ErrorType, LlamatabError } from './errors.ts';
export type {
  AddFilesOptions,
  AddOptions,
  DownloadProgress,
  EngineOptions,
  ModelFiles,
  ModelRuntime,
  ModelStatus,
  Models,
  RealtimeOptions,
  RealtimeSocket,
  ServeOptions,
  Server,
  ServerStatus,
  SpaceReport,
  VerifyReport,
} from './page/api.ts';
export { serve } from './page/serve.ts';
