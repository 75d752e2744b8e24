#include <checks.h>

static const char alphabet[] = "0123456789abcdef";

void hex(uint64_t value, int digits, uint8_t *to)
{
    int i;

    for (i = digits - 1; i >= 0; i--) {
        to[i] = alphabet[value & 15];
        value = value >> 4;
    }
}
