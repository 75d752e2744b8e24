#include <checks.h>

size_t text_length(const char *text)
{
    size_t count = 0;

    while (text[count] != 0) {
        count++;
    }
    return count;
}
