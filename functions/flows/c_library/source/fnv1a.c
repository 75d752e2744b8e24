#include <checks.h>

#define BASIS 0xcbf29ce484222325ul
#define PRIME 0x100000001b3ul

uint64_t fnv1a(const uint8_t *bytes, size_t count)
{
    uint64_t hash = BASIS;
    size_t i;

    for (i = 0; i < count; i++) {
        hash = (hash ^ (uint64_t)bytes[i]) * PRIME;
    }
    return hash;
}
