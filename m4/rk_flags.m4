# SPDX-License-Identifier: Apache-2.0
# RK_APPEND_CFLAGS(VARIABLE, FLAGS): appends each flag that the compiler accepts.
AC_DEFUN([RK_APPEND_CFLAGS], [
	for rk_flag in $2; do
		AC_MSG_CHECKING([whether $CC accepts $rk_flag])
		rk_saved_cflags=$CFLAGS
		CFLAGS="$CFLAGS -Werror $rk_flag"
		AC_COMPILE_IFELSE([AC_LANG_PROGRAM()],
			[AC_MSG_RESULT([yes]); $1="$$1 $rk_flag"],
			[AC_MSG_RESULT([no])])
		CFLAGS=$rk_saved_cflags
	done
])
