#!/usr/bin/env node
/** `npx amused-edge`. */
export {};
