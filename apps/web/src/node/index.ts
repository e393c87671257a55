/** Node: bundles from folders, drawn in a worker thread. */
export {};
