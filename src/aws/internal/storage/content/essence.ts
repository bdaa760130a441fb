/** A media type without its parameters, in lower case: the part of it that says what a file is. */
export const essence = (contentType: string): string => contentType.split(";", 1)[0]!.trim().toLowerCase()
