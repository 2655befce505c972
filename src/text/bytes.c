/* bytes.c - GPT-2's printable stand-ins for bytes: printable characters of Latin-1 stand for themselves, the other 68 bytes,
 * in order, for U+0100 and up. tokenizer.json shows every token in this alphabet. */
#include "text/tokenizer.h"

static bool stands_for_itself(uint32_t byte)
{
    return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);
}

static uint32_t character_of(uint32_t byte)
{
    uint32_t others = 0;
    if (stands_for_itself(byte))
        return byte;
    for (uint32_t b = 0; b < byte; b++)
        others += !stands_for_itself(b);
    return 0x100 + others;
}

/* The byte of a character below 0x144; the alphabet has all of them but the bytes that do not stand for themselves. */
static int byte_of(uint32_t character)
{
    if (character < 0x100)
        return stands_for_itself(character) ? (int)character : -1;
    for (uint32_t b = 0; b < 0x100; b++)
        if (!stands_for_itself(b) && character_of(b) == character)
            return (int)b;
    return -1;
}

void hs_bytes_show(const char *bytes, size_t len, hs_str *out)
{
    for (size_t i = 0; i < len; i++) {
        const uint32_t c = character_of((unsigned char)bytes[i]);
        const char two[2] = {(char)(0xc0 | c >> 6), (char)(0x80 | (c & 0x3f))}, one = (char)c;
        if (c < 0x80)
            hs_str_add(out, &one, 1);
        else
            hs_str_add(out, two, 2);
    }
}

bool hs_bytes_unshow(const char *text, size_t len, hs_str *out)
{
    for (size_t i = 0; i < len;) {
        uint32_t c = (unsigned char)text[i++];
        if (c >= 0xc0) { /* the alphabet has no longer characters */
            if (c > 0xdf || i >= len)
                return false;
            c = (c & 0x1f) << 6 | ((unsigned char)text[i++] & 0x3f);
        }
        const int byte = byte_of(c);
        if (byte < 0)
            return false;
        const char b = (char)byte;
        hs_str_add(out, &b, 1);
    }
    return true;
}
