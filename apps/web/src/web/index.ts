/** Browsers: bundles from a server, kept in the Cache API, drawn in a worker. */
export {};
