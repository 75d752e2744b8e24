#include <checks.h>

#define MODULUS 65521

uint32_t adler32(const uint8_t *bytes, size_t count)
{
    uint32_t low = 1;
    uint32_t high = 0;
    size_t i;

    for (i = 0; i < count; i++) {
        low = (low + bytes[i]) % MODULUS;
        high = (high + low) % MODULUS;
    }
    return (high << 16) | low;
}
