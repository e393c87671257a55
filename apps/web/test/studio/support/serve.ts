/** Serves the studio over bundles, to be looked at: `node serve.js PAGE ID=FOLDER ...`, `--server` to draw there. */
import { StudioServer } from "./studio-server.js";

const [page = "", ...rest] = process.argv.slice(2);
const bundles = Object.fromEntries(rest.filter((one) => one.includes("=")).map((one) => one.split("=", 2)));
const server = new StudioServer(page, bundles);
if (rest.includes("--server")) server.compute = "server";
if (rest.includes("--plain")) server.isolated = false;
process.stdout.write(`${(await server.start()).url}\n`);
