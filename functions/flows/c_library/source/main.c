/* Says what the library makes of one text: `name value`, a line each. */
#include <checks.h>

static const char subject[] = "Bacalhau com natas: aaaabbb 0123456789";

static void say(const char *name, const uint8_t *value, size_t count)
{
    write_text(name);
    write_text(" ");
    write_bytes(value, count);
    write_text("\n");
}

static void say_number(const char *name, uint64_t value)
{
    uint8_t text[20];

    say(name, text, decimal(value, text));
}

static void say_hex(const char *name, uint64_t value, int digits)
{
    uint8_t text[16];

    hex(value, digits, text);
    say(name, text, digits);
}

static void say_sorted(void)
{
    uint32_t numbers[8];
    size_t i;

    for (i = 0; i < 8; i++) {
        numbers[i] = (uint32_t)(i * 37 % 11);
    }
    sort(numbers, 8);
    for (i = 0; i < 8; i++) {
        say_number("sorted", numbers[i]);
    }
}

int main(void)
{
    const uint8_t *bytes = (const uint8_t *)subject;
    size_t count = text_length(subject);
    uint8_t made[128];

    say_number("length", count);
    say_hex("crc32", crc32(bytes, count), 8);
    say_hex("adler32", adler32(bytes, count), 8);
    say_hex("fnv1a", fnv1a(bytes, count), 16);
    say("base64", made, base64(bytes, count, made));
    say_number("rle", rle(bytes, count, made));
    say_number("utf8", utf8_length(bytes, count));
    say_sorted();
    return 0;
}
