/** Hands results to the server that showed the page. */

/** Send what there is; return why that failed, or nothing. */
export async function send(results: unknown): Promise<string | undefined> {
  try {
    const response = await fetch(new URL("api/device-results", document.baseURI), {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(results),
    });
    if (response.ok) return undefined;
    const said = (await response.json().catch(() => ({}))) as { message?: string; error?: { message?: string } };
    return said.error?.message ?? said.message ?? `the server answered ${response.status}`;
  } catch {
    return "the server does not answer";
  }
}
