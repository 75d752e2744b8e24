/* What the compiler, which brings no headers, is not told by the language. */
#ifndef STDINT_H
#define STDINT_H

typedef unsigned char uint8_t;
typedef unsigned int uint32_t;
typedef unsigned long uint64_t;
typedef unsigned long size_t;

#endif
