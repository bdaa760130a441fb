/**
 * Layers and combinators for the tests of features. Nothing of it is loaded by the other entry points.
 */
export {}
