/* normalize.c - one spelling for dates and countries.
 *
 * 2Wiki writes dates as "9 August 1957", "August 9, 1957" and "1957", and countries as demonyms or names ("American",
 * "America", "U.S."). A string that fits no rule is left to the caller, never guessed.
 */
#include "graph/read/format.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const months[12] = {"January", "February", "March",     "April",   "May",      "June",
                                       "July",    "August",   "September", "October", "November", "December"};

/* Month 1..12 of the first `len` letters: the whole name or its first three letters; 0 if none. */
static unsigned month_number(const char *s, size_t len)
{
    for (unsigned m = 0; m < 12; m++)
        if ((len == strlen(months[m]) || len == 3) && strncasecmp(s, months[m], len) == 0)
            return m + 1;
    return 0;
}

static unsigned days_of(unsigned year, unsigned month)
{
    static const unsigned char days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap ? 1u : 0u);
}

typedef struct token {
    bool is_number;
    unsigned value; /* number, or month */
    size_t digits;
} token;

/* Numbers and month names, between spaces, commas and hyphens. Returns their count, or 0 for anything else. */
static size_t tokenize(const char *s, token out[3])
{
    size_t n = 0;
    while (*s != '\0') {
        if (*s == ' ' || *s == ',' || *s == '-') {
            s++;
            continue;
        }
        size_t digits = strspn(s, "0123456789");
        size_t letters = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
        if (n == 3 || digits > 4 || (digits == 0 && letters == 0))
            return 0;
        if (digits > 0) {
            out[n] = (token){.is_number = true, .value = (unsigned)strtoul(s, NULL, 10), .digits = digits};
            s += digits;
        } else {
            out[n] = (token){.value = month_number(s, letters)};
            if (out[n].value == 0)
                return 0;
            s += letters;
        }
        n++;
    }
    return n;
}

bool hs_date_iso(const char *text, char out[HS_DATE_SIZE])
{
    token t[3] = {0};
    size_t n = tokenize(text, t);
    unsigned year = 0, month = 0, day = 0;
    bool negative = text[0] == '-'; /* a year before our era: not ours to read */
    if (n == 0 || negative)
        return false;
    if (n == 1 && t[0].is_number && t[0].digits >= 3) {
        year = t[0].value;
    } else if (n == 2 && !t[0].is_number && t[1].is_number && t[1].digits >= 3) {
        month = t[0].value, year = t[1].value;
    } else if (n == 2 && t[0].is_number && t[0].digits == 4 && t[1].is_number && t[1].digits == 2) {
        year = t[0].value, month = t[1].value;
    } else if (n == 3 && t[0].is_number && !t[1].is_number && t[2].is_number && t[2].digits >= 3) {
        day = t[0].value, month = t[1].value, year = t[2].value;
    } else if (n == 3 && !t[0].is_number && t[1].is_number && t[2].is_number && t[2].digits >= 3) {
        month = t[0].value, day = t[1].value, year = t[2].value;
    } else if (n == 3 && t[0].is_number && t[0].digits == 4 && t[1].is_number && t[1].digits == 2 && t[2].is_number &&
               t[2].digits == 2) {
        year = t[0].value, month = t[1].value, day = t[2].value;
    } else {
        return false;
    }
    if (year == 0 || year > 9999 || month > 12 || (n >= 2 && month == 0) || (n == 3 && day == 0) ||
        (day > 0 && day > days_of(year, month)))
        return false;
    if (n == 1)
        snprintf(out, HS_DATE_SIZE, "%04u", year);
    else if (n == 2)
        snprintf(out, HS_DATE_SIZE, "%04u-%02u", year % 10000, month % 100);
    else
        snprintf(out, HS_DATE_SIZE, "%04u-%02u-%02u", year % 10000, month % 100, day % 100);
    return true;
}

/* Sorted by the first string (byte order), for bsearch. */
static const char *const countries[][2] = {
    /* clang-format off */
    {"Afghan", "Afghanistan"}, {"Albanian", "Albania"}, {"Algerian", "Algeria"}, {"America", "United States"},
    {"American", "United States"}, {"Angolan", "Angola"}, {"Argentine", "Argentina"}, {"Argentinean", "Argentina"},
    {"Argentinian", "Argentina"}, {"Armenian", "Armenia"}, {"Australian", "Australia"}, {"Austrian", "Austria"},
    {"Azerbaijani", "Azerbaijan"}, {"Bangladeshi", "Bangladesh"}, {"Belarusian", "Belarus"}, {"Belgian", "Belgium"},
    {"Bolivian", "Bolivia"}, {"Bosnian", "Bosnia and Herzegovina"}, {"Brazilian", "Brazil"},
    {"Britain", "United Kingdom"}, {"British", "United Kingdom"}, {"Bulgarian", "Bulgaria"}, {"Burma", "Myanmar"},
    {"Burmese", "Myanmar"}, {"Byzantine", "Byzantine Empire"}, {"Cambodian", "Cambodia"}, {"Cameroonian", "Cameroon"},
    {"Canadian", "Canada"}, {"Chilean", "Chile"}, {"Chinese", "China"}, {"Colombian", "Colombia"},
    {"Congolese", "Democratic Republic of the Congo"}, {"Costa Rican", "Costa Rica"}, {"Croatian", "Croatia"},
    {"Cuban", "Cuba"}, {"Cypriot", "Cyprus"}, {"Czech", "Czech Republic"}, {"Czechia", "Czech Republic"},
    {"Czechoslovak", "Czechoslovakia"}, {"Danish", "Denmark"}, {"Dominican", "Dominican Republic"},
    {"Dutch", "Netherlands"}, {"East German", "East Germany"}, {"Ecuadorian", "Ecuador"}, {"Egyptian", "Egypt"},
    {"Emirati", "United Arab Emirates"}, {"English", "England"}, {"Estonian", "Estonia"}, {"Ethiopian", "Ethiopia"},
    {"Filipino", "Philippines"}, {"Finnish", "Finland"}, {"French", "France"}, {"Georgian", "Georgia"},
    {"German", "Germany"}, {"Ghanaian", "Ghana"}, {"Great Britain", "United Kingdom"}, {"Greek", "Greece"},
    {"Guatemalan", "Guatemala"}, {"Haitian", "Haiti"}, {"Holland", "Netherlands"}, {"Hungarian", "Hungary"},
    {"Icelandic", "Iceland"}, {"Indian", "India"}, {"Indonesian", "Indonesia"}, {"Iranian", "Iran"},
    {"Iraqi", "Iraq"}, {"Irish", "Ireland"}, {"Israeli", "Israel"}, {"Italian", "Italy"}, {"Ivorian", "Ivory Coast"},
    {"Jamaican", "Jamaica"}, {"Japanese", "Japan"}, {"Jordanian", "Jordan"}, {"Kazakh", "Kazakhstan"},
    {"Kazakhstani", "Kazakhstan"}, {"Kenyan", "Kenya"}, {"Kuwaiti", "Kuwait"}, {"Latvian", "Latvia"},
    {"Lebanese", "Lebanon"}, {"Libyan", "Libya"}, {"Lithuanian", "Lithuania"}, {"Luxembourgish", "Luxembourg"},
    {"Macedonian", "North Macedonia"}, {"Malaysian", "Malaysia"}, {"Malian", "Mali"}, {"Maltese", "Malta"},
    {"Mexican", "Mexico"}, {"Moldovan", "Moldova"}, {"Mongolian", "Mongolia"}, {"Montenegrin", "Montenegro"},
    {"Moroccan", "Morocco"}, {"Namibian", "Namibia"}, {"Nepalese", "Nepal"}, {"Nepali", "Nepal"},
    {"New Zealander", "New Zealand"}, {"Nicaraguan", "Nicaragua"}, {"Nigerian", "Nigeria"},
    {"North Korean", "North Korea"}, {"Norwegian", "Norway"}, {"Ottoman", "Ottoman Empire"},
    {"Pakistani", "Pakistan"}, {"Palestinian", "Palestine"}, {"Panamanian", "Panama"}, {"Paraguayan", "Paraguay"},
    {"People's Republic of China", "China"}, {"Persia", "Iran"}, {"Persian", "Iran"}, {"Peruvian", "Peru"},
    {"Philippine", "Philippines"}, {"Polish", "Poland"}, {"Portuguese", "Portugal"}, {"Prussian", "Prussia"},
    {"Puerto Rican", "Puerto Rico"}, {"Republic of Ireland", "Ireland"}, {"Romanian", "Romania"},
    {"Russian", "Russia"}, {"Russian Federation", "Russia"}, {"Rwandan", "Rwanda"}, {"Salvadoran", "El Salvador"},
    {"Saudi", "Saudi Arabia"}, {"Saudi Arabian", "Saudi Arabia"}, {"Scottish", "Scotland"}, {"Senegalese", "Senegal"},
    {"Serbian", "Serbia"}, {"Singaporean", "Singapore"}, {"Slovak", "Slovakia"}, {"Slovene", "Slovenia"},
    {"Slovenian", "Slovenia"}, {"Somali", "Somalia"}, {"South African", "South Africa"},
    {"South Korean", "South Korea"}, {"Soviet", "Soviet Union"}, {"Spanish", "Spain"}, {"Sri Lankan", "Sri Lanka"},
    {"Sudanese", "Sudan"}, {"Swedish", "Sweden"}, {"Swiss", "Switzerland"}, {"Syrian", "Syria"},
    {"Taiwanese", "Taiwan"}, {"Tanzanian", "Tanzania"}, {"Thai", "Thailand"}, {"The Netherlands", "Netherlands"},
    {"Tunisian", "Tunisia"}, {"Turkish", "Turkey"}, {"U.K.", "United Kingdom"}, {"U.S.", "United States"},
    {"U.S.A.", "United States"}, {"UK", "United Kingdom"}, {"US", "United States"}, {"USA", "United States"},
    {"USSR", "Soviet Union"}, {"Ugandan", "Uganda"}, {"Ukrainian", "Ukraine"},
    {"United States of America", "United States"}, {"Uruguayan", "Uruguay"}, {"Uzbek", "Uzbekistan"},
    {"Venezuelan", "Venezuela"}, {"Viet Nam", "Vietnam"}, {"Vietnamese", "Vietnam"}, {"Welsh", "Wales"},
    {"West German", "West Germany"}, {"Yemeni", "Yemen"}, {"Yugoslav", "Yugoslavia"}, {"Zambian", "Zambia"},
    {"Zimbabwean", "Zimbabwe"}, {"the United States", "United States"},
    /* clang-format on */
};

static int compare_country(const void *key, const void *entry)
{
    return strcmp(key, ((const char *const *)entry)[0]);
}

const char *hs_country_name(const char *text)
{
    const char *const *found =
        bsearch(text, countries, sizeof countries / sizeof *countries, sizeof *countries, compare_country);
    return found == NULL ? NULL : found[1];
}
