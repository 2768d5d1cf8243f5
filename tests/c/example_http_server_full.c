#define SERVER "../../c_examples/http_server.c"
#define ARGUMENTS "http_server", "0"
#include "out_of_descriptors.h"
