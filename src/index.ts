export { type ErrorEnvelope, type ErrorType, LlamatabError } from './errors.ts';
export type {
  EngineOptions,
  ModelRuntime,
  ModelStatus,
  Models,
  ServeOptions,
  Server,
  ServerStatus,
} from './page/api.ts';
export { serve } from './page/serve.ts';
