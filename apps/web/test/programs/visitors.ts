/**
 * Visitors of a server that runs already, for tests in Python:
 *
 *     node visitors.js draw URL PROMPT     prints the tokens of the picture that the studio draws, as JSON
 *     node visitors.js phones URL          two devices with screens of two sizes follow the server's plan to its end
 */
import { argv, stdout } from "node:process";
import { launch } from "../browser/support/chromium.js";
import { DESKTOP, draw, openStudio, PHONE } from "../studio/support/page.js";

const [kind, url = "", prompt = ""] = argv.slice(2);
const browser = await launch();
try {
  if (kind === "draw") {
    const page = await openStudio(await browser.newContext(DESKTOP), url);
    await page.getByLabel("What shall be drawn?").fill(prompt);
    const [{ tokens, parameters }] = await draw(page);
    stdout.write(JSON.stringify({ tokens, parameters, complaints: page.complaints }));
  } else {
    const complaints: string[] = [];
    for (const screen of [PHONE, { ...DESKTOP, serviceWorkers: "block" } as const]) {
      const page = await openStudio(await browser.newContext(screen), url);
      await page.getByRole("button", { name: "Measure" }).click();
      const end = page.getByText("Measured. The results were sent.").first();
      await end.waitFor({ timeout: 180_000 }).catch(async (error) => {
        const said = await page.locator("#bench-status, #bench-problem, #bench-results").allInnerTexts();
        throw new Error(`${error.message}\n${said.join("\n")}`); // what the page says instead
      });
      complaints.push(...page.complaints);
      await page.context().close();
    }
    stdout.write(JSON.stringify({ complaints }));
  }
} finally {
  await browser.close();
}
