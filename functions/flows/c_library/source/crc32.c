#include <checks.h>

#define POLYNOMIAL 0xedb88320u

static uint32_t step(uint32_t crc)
{
    int bit;

    for (bit = 0; bit < 8; bit++) {
        if (crc & 1u) {
            crc = (crc >> 1) ^ POLYNOMIAL;
        } else {
            crc = crc >> 1;
        }
    }
    return crc;
}

uint32_t crc32(const uint8_t *bytes, size_t count)
{
    uint32_t crc = 0xffffffffu;
    size_t i;

    for (i = 0; i < count; i++) {
        crc = (crc >> 8) ^ step((crc ^ bytes[i]) & 0xffu);
    }
    return crc ^ 0xffffffffu;
}
