/** What a command says: results, which must be told, and else what may be lost. */

import { stderr, stdout } from "node:process";

/** As shells count a process that was ended because nobody reads what it prints. */
const NOBODY_READS = 141;
const FAILED = 1;

/** A result could not be printed. */
export class UnprintedError extends Error {}

for (const stream of [stdout, stderr]) {
  stream.on("error", () => undefined); // told by each write; unheard, Node would end the process with its stack
}

/** Print a result; throws an `UnprintedError` where it cannot be. */
export function say(text: string): Promise<void> {
  return new Promise((told, failed) => {
    stdout.write(text, (error) => (error ? failed(new UnprintedError(error.message, { cause: error })) : told()));
  });
}

/** Tell what is not a result, in one line; nowhere, if that cannot be told. */
export function complain(message: string): void {
  stderr.write(`amused-edge: ${message}\n`);
}

/** Tell that results could not be printed, unless nobody wants them; return the exit code. */
export function unprinted(error: UnprintedError): number {
  if ((error.cause as NodeJS.ErrnoException).code === "EPIPE") {
    return NOBODY_READS;
  }
  complain(`the results could not be printed: ${error.message}; lead them elsewhere`);
  return FAILED;
}
