/**
 * The status page: one document without dependencies, which asks for `status.json` beside it every two seconds. It is a
 * text in a module, so that every bundler keeps it.
 *
 * What it shows is put in as text, never as HTML. Its Content-Security-Policy allows its own style and script by their
 * hashes, requests to its own server, and nothing else.
 */
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { createHash } from "node:crypto"
import { script } from "./statusPageScript.ts"
import { style } from "./statusPageStyle.ts"

/** The document. Where it is served as `…/status`, `…/status.json` is what it shows. */
const html = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Status</title>
<link rel="icon" href="data:,">
<style>${style}</style>
</head>
<body>
<a class="skip" href="#checks">Skip to the checks</a>
<header>
<h1>Status <span id="host"></span></h1>
<div id="overall">
<p id="verdict" role="status"><strong>Loading</strong></p>
<p id="freshness"></p>
<button id="pause" type="button" aria-pressed="false">Pause</button>
</div>
<noscript><p>This page needs JavaScript. The same as JSON: <a href="status.json">status.json</a>.</p></noscript>
</header>
<main>
<section aria-labelledby="process-title"><h2 id="process-title">Process</h2><div id="process"></div></section>
<section aria-labelledby="checks-title"><h2 id="checks-title">Checks</h2><div id="checks" tabindex="-1"></div></section>
<section aria-labelledby="databases-title"><h2 id="databases-title">Databases</h2><div id="databases"></div></section>
<section aria-labelledby="queues-title"><h2 id="queues-title">Queues</h2><div id="queues"></div></section>
<section aria-labelledby="outbox-title"><h2 id="outbox-title">Outbox</h2><div id="outbox"></div></section>
<section aria-labelledby="errors-title"><h2 id="errors-title">Recent errors</h2><div id="errors"></div></section>
</main>
<footer><p>The same as JSON: <a href="status.json">status.json</a></p></footer>
<script>${script}</script>
</body>
</html>
`

const hash = (text: string): string => `'sha256-${createHash("sha256").update(text).digest("base64")}'`

const headers = (): Readonly<Record<string, string>> => ({
  "cache-control": "no-store",
  "content-security-policy": [
    "default-src 'none'",
    `style-src ${hash(style)}`,
    `script-src ${hash(script)}`,
    "connect-src 'self'",
    "img-src data:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'"
  ].join("; "),
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer"
})

export const response = (): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.text(html, { headers: headers(), contentType: "text/html; charset=utf-8" })
