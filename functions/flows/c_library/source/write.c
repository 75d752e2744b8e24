#include <checks.h>

void write_bytes(const uint8_t *bytes, size_t count)
{
    system_write(1, bytes, count);
}

void write_text(const char *text)
{
    write_bytes((const uint8_t *)text, text_length(text));
}
