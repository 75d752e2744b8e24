#include <checks.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t base64(const uint8_t *bytes, size_t count, uint8_t *to)
{
    size_t written = 0;
    size_t i;

    for (i = 0; i < count; i += 3) {
        size_t left = count - i;
        uint32_t group = (uint32_t)bytes[i] << 16;

        if (left > 1) {
            group |= (uint32_t)bytes[i + 1] << 8;
        }
        if (left > 2) {
            group |= (uint32_t)bytes[i + 2];
        }
        to[written++] = alphabet[(group >> 18) & 63];
        to[written++] = alphabet[(group >> 12) & 63];
        to[written++] = left > 1 ? alphabet[(group >> 6) & 63] : '=';
        to[written++] = left > 2 ? alphabet[group & 63] : '=';
    }
    return written;
}
