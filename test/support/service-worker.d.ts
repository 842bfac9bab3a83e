/** `llamatab/service-worker` for the compiler: it is imported for what it does, and has no exports. The built file is not to be checked. */
export {};
