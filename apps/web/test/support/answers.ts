/** What this runtime answers to each set of conformance vectors. */

import { FILES } from "./answers/files.js";
import { PICTURES } from "./answers/pictures.js";
import { SAMPLING } from "./answers/sampling.js";
import type { Answer } from "./vectors.js";

export const ANSWERS: Readonly<Record<string, Answer>> = { ...SAMPLING, ...PICTURES, ...FILES };
