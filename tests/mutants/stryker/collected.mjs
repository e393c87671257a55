/** Stands for node:test: keeps the tests of each file, to be run one by one. */

/** By what they are told apart. */
export const collected = new Map();

let fileName;

/** Read a file of tests. */
export async function collect(file, url) {
  fileName = file;
  await import(url);
}

export function test(name, run) {
  const id = `${fileName} ${name}`;
  collected.set(id, { id, name, fileName, run });
}
