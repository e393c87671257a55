/** The package's own worker, which fetches onnxruntime-web from the folder that the page names. */

import { serveWith } from "./serve.js";

serveWith();
