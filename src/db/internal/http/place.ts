/** Where a session may not be. */

/**
 * `HttpApp.toHandled` of `@effect/platform` applies a middleware of the server to the app and to the sending of its
 * response. It does so when the server starts, where the stack of calls shows it. A bundler may rename that function:
 * then the session finds out at the first request.
 */
export const refuseServerMiddleware = (): void => {
  const { stack = "" } = new Error()
  if (!/\btoHandled\b/.test(stack)) return
  throw new TypeError(
    "HttpSession cannot be a middleware of the server (HttpServer.serve, HttpApiBuilder.serve, HttpLayerRouter.serve): it "
      + "would commit after the response has been sent. Use HttpRouter.use, HttpApiBuilder.middleware or "
      + "HttpLayerRouter.middleware"
  )
}
