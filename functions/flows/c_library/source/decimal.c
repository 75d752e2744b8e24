#include <checks.h>

size_t decimal(uint64_t value, uint8_t *to)
{
    uint8_t reversed[20];
    size_t count = 0;
    size_t i;

    do {
        reversed[count++] = '0' + value % 10;
        value = value / 10;
    } while (value > 0);
    for (i = 0; i < count; i++) {
        to[i] = reversed[count - 1 - i];
    }
    return count;
}
