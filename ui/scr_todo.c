#include "ui/screen.h"
const struct screen_ops scr_guest = {0}, scr_serial = {0}, scr_text = {0};
