#include <checks.h>

static void sink(uint32_t *numbers, size_t root, size_t count)
{
    for (;;) {
        size_t child = 2 * root + 1;
        uint32_t moved;

        if (child >= count) {
            return;
        }
        if (child + 1 < count && numbers[child + 1] > numbers[child]) {
            child++;
        }
        if (numbers[root] >= numbers[child]) {
            return;
        }
        moved = numbers[root];
        numbers[root] = numbers[child];
        numbers[child] = moved;
        root = child;
    }
}

void sort(uint32_t *numbers, size_t count)
{
    size_t i;

    for (i = count / 2; i > 0; i--) {
        sink(numbers, i - 1, count);
    }
    for (i = count; i > 1; i--) {
        uint32_t largest = numbers[0];

        numbers[0] = numbers[i - 1];
        numbers[i - 1] = largest;
        sink(numbers, 0, i - 1);
    }
}
